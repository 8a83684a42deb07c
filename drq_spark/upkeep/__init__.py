"""What a team looks at and clears away between the nights: runs so far, and what old ones have left."""
