"""What a team lives through with one system's database, from the first look to the constraint and back."""
