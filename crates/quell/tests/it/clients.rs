//! Real mail programs send to quell, and read what it delivered.
