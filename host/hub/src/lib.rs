//! jackfield-hub
