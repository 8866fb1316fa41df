//! Every fault on real containers: it bites, it leaves the others alone, and healing restores what was. One file a
//! plane; the tests take turns, so that one does not starve the timings of another.

mod bench;
mod clock;
mod container;
mod disk;
mod host;
mod links;
mod network;
mod operator;
mod process;
mod starvation;
