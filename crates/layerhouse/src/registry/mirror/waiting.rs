//! Work that several ask for at once and that is done once, to its end, whoever of them leaves.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// What is being done, by what was asked.
pub(super) struct Waiting<K, T>(Arc<Mutex<Running<K, T>>>);

type Running<K, T> = HashMap<K, watch::Receiver<Option<T>>>;

impl<K, T> Default for Waiting<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Takes the entry out when the work ends, also by a panic.
struct Entry<K: Eq + Hash, T> {
    key: K,
    running: Arc<Mutex<Running<K, T>>>,
}

impl<K: Eq + Hash, T> Drop for Entry<K, T> {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.key);
    }
}

impl<K, T> Waiting<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What `work` gives, or the same work of somebody who asked earlier; `None` if it panicked.
    pub(super) async fn join<W>(&self, key: K, work: impl FnOnce() -> W) -> Option<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut receiver = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(receiver) = running.get(&key) {
                receiver.clone()
            } else {
                let (sender, receiver) = watch::channel(None);
                running.insert(key.clone(), receiver.clone());
                let entry = Entry {
                    key,
                    running: Arc::clone(&self.0),
                };
                let work = work();
                tokio::spawn(async move {
                    let result = work.await;
                    // Who comes from now on asks anew; who waits is told.
                    drop(entry);
                    sender.send_replace(Some(result));
                });
                receiver
            }
        };
        let result = receiver.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_is_done_once_and_to_its_end() {
        let waiting = Waiting::<u8, usize>::default();
        let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (count, go) = (Arc::clone(&count), Arc::clone(&go));
            async move {
                go.notified().await;
                count.fetch_add(1, Ordering::SeqCst)
            }
        };
        let mut first = Box::pin(waiting.join(7, work));
        let mut second = Box::pin(waiting.join(7, work));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        go.notify_one();
        assert_eq!(second.await, Some(0));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(waiting.0.lock().expect("no panic").is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_told_and_forgotten() {
        let waiting = Waiting::<u8, ()>::default();
        assert_eq!(
            waiting.join(1, || async { panic!("a mistake") }).await,
            None
        );
        assert_eq!(waiting.join(1, || async {}).await, Some(()));
    }
}
