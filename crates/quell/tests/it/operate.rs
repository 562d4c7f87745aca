//! What an operator does: commands, console, reload, stop.
