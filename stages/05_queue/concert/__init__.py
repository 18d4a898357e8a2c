"""concert-service: concerts, their schedules, and the venues ("stages" on the wire) they take place in."""
