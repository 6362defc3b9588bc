"""What is known about a task before it is called: its function, its signature and the name it is found under."""
