"""Side questions that no stage answers; each folder's README gives the question, the method and the answer."""
