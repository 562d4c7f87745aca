//! SMTP smuggling, in all published variants, against the running server.
