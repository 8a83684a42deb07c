"""What SIDs are worth downstream: small generators and rankers that use them, trained on the user's own events."""
