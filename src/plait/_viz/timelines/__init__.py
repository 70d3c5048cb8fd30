"""When what happened: an execution laid out in rows and bars, and the formats of that."""
