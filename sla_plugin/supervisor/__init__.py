"""One command for everything: `up` and the processes it keeps alive."""
