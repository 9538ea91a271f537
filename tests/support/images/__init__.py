"""Images of the Docker tests, made on this machine: no registry is asked."""
