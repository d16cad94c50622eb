"""What the pages say is so: commands run as shown, links lead somewhere, lists are complete."""
