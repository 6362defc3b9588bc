"""What is known of a task before it is called: its function, its signature and the name it is found under."""
