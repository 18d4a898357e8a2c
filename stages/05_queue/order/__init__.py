"""order-service: bookings of seats, and which seats are taken."""
