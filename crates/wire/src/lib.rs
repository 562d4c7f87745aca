//! How servers talk: bytes in, events and bytes out. No socket, no clock.
