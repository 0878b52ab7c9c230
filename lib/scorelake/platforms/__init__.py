"""Where jobs run beside this machine: what is shipped, and how it is submitted."""
