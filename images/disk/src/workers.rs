//! Threads for operations that take their time, so that the threads that take requests never wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A thread without work ends after this long.
const IDLE: Duration = Duration::from_secs(10);
/// Jobs need little stack, and there may be a thread for each backend of a PostgreSQL that stalls.
const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as there are jobs at once; they are kept for a while.
#[derive(Default)]
pub struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
}

impl Workers {
    /// Has `job` done by a thread of its own. If the system gives no more threads, it is done here.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.0.queue.lock();
        queue.jobs.push_back(Box::new(job));
        if queue.jobs.len() <= queue.idle {
            self.0.arrived.notify_one();
            return;
        }
        drop(queue);
        let shared = Arc::clone(&self.0);
        let started = thread::Builder::new().name("work".into()).stack_size(STACK_BYTES).spawn(move || shared.work());
        if started.is_err() {
            let job = self.0.queue.lock().jobs.pop_back();
            job.into_iter().for_each(|job| job());
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        if queue.jobs.is_empty() {
            queue.idle += 1;
            self.arrived.wait_while_for(&mut queue, |queue| queue.jobs.is_empty(), IDLE);
            queue.idle -= 1;
        }
        queue.jobs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_job_that_hangs_holds_up_no_other() {
        let workers = Workers::default();
        let (done, results) = mpsc::channel();
        let (release, hung) = mpsc::channel::<()>();
        workers.submit(move || hung.recv().unwrap());
        for round in 0..50 {
            let done = done.clone();
            workers.submit(move || done.send(round).unwrap());
        }
        let mut rounds: Vec<u32> =
            (0..50).map(|_| results.recv_timeout(Duration::from_secs(20)).expect("50 jobs within 20 s")).collect();
        rounds.sort_unstable();
        assert_eq!(rounds, (0..50).collect::<Vec<u32>>());
        release.send(()).unwrap();
    }
}
