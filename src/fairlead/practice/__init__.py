"""What stands in for the world outside: servers that speak the brokers' protocols, over accounts and markets of their own."""
