"""Results to text, notes and files."""
