//! The run's process is killed anywhere, and the run goes on: the same results, nothing twice, nothing forgotten.
//!
//! The agents are a rehearsal in this process (`house`); the run's processes are this program again (`player`) and die by
//! their own `SIGKILL`. Nothing else is a double: driver, recorder and journal are the real ones.

mod accounts;
mod full;
mod house;
mod kills;
mod player;
mod scene;
mod torn;
mod wire;
mod world;
