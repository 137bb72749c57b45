"""Looking at what the catalog holds: pages over HTTP, and reports to send to somebody."""
