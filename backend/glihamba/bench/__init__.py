"""What `glihamba bench` measures of the scan and the networks, apart from saying it."""
