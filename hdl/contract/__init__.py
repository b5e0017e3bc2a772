"""Contract of host, golden model and gateware: parameters, number formats, jobs and layouts."""
