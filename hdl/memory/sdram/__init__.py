"""SDRAM behind the memory port: controller, refresh, rows and pins."""
