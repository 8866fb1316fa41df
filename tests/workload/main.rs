//! The workload against a real PostgreSQL: what it measures and what it records are true.

mod damage;
mod databases;
mod gate;
mod postgres;
mod prober;
mod writes;
