"""Host of the engine: data, training, devices, command line."""
