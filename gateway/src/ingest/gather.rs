//! How much goes into one transaction.
//!
//! Under load groups grow by themselves: what arrives during a commit is the next group. In a backlog they stay large: a box sends
//! a window of batches and goes on once they are committed, so that what arrives during a commit is only what was left of the
//! window. Such a group is kept open until the commit before it is answered, and until what was answered by it has been sent.

use std::{future::Future, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};

use super::GROUP_BYTES_MAX;

/// A group so large tells of a backlog.
const BACKLOG_BYTES: usize = GROUP_BYTES_MAX / 4;
/// In a backlog, nobody sends any more when so long nothing came...
const SILENCE: Duration = Duration::from_millis(10);
/// ...and this is how long is waited altogether.
const LINGER_MAX: Duration = Duration::from_millis(200);

/// A group that still grows.
pub(super) trait Grow {
    /// What it grows by.
    type One;
    /// What it is in the end.
    type Group;

    /// How large it is.
    fn bytes(&self) -> usize;

    /// Takes one more.
    fn take(&mut self, one: Self::One) -> impl Future<Output = ()> + Send;

    /// Reads and verifies what came since.
    fn verify(&mut self) -> impl Future<Output = ()> + Send;

    /// It grows no more.
    fn close(self) -> Self::Group;

    fn has_room(&self) -> bool {
        self.bytes() < GROUP_BYTES_MAX
    }
}

/// Gathers what comes into groups until nothing comes any more, or nobody wants them. `settled` is how many of the groups that
/// went to `ready` are answered.
pub(super) async fn gather<G: Grow>(
    new: impl Fn() -> G,
    mut inbox: mpsc::Receiver<G::One>,
    ready: mpsc::Sender<G::Group>,
    mut settled: watch::Receiver<u64>,
) {
    let (mut sent, mut before) = (0, 0);
    while let Some(first) = inbox.recv().await {
        let mut group = new();
        group.take(first).await;
        while group.has_room()
            && let Ok(next) = inbox.try_recv()
        {
            group.take(next).await;
        }
        group.verify().await;
        if group.bytes() < expected(before) {
            stay_open(&mut group, &mut inbox, async {
                // Its sender lives as long as this.
                let _ = settled.wait_for(|done| *done >= sent).await.map(drop);
            })
            .await;
            linger(&mut group, &mut inbox, expected(before)).await;
            group.verify().await;
        }
        before = group.bytes();
        sent += 1;
        if ready.send(group.close()).await.is_err() {
            return;
        }
    }
}

/// How much of a group is worth waiting for, in bytes, after one of `before`: nothing outside of a backlog, and in one as much
/// as before, as far as a group may grow.
fn expected(before: usize) -> usize {
    if before < BACKLOG_BYTES { 0 } else { before.min(GROUP_BYTES_MAX) }
}

/// Takes what comes until the groups before are answered.
async fn stay_open<G: Grow>(
    group: &mut G,
    inbox: &mut mpsc::Receiver<G::One>,
    answered: impl Future<Output = ()>,
) {
    let mut answered = std::pin::pin!(answered);
    loop {
        tokio::select! {
            biased;
            () = &mut answered => return,
            next = inbox.recv(), if group.has_room() => match next {
                Some(next) => group.take(next).await,
                None => return,
            },
        }
    }
}

/// Takes what follows the answers, until it is as much as `expected`.
async fn linger<G: Grow>(group: &mut G, inbox: &mut mpsc::Receiver<G::One>, expected: usize) {
    let end = Instant::now() + LINGER_MAX;
    while group.bytes() < expected
        && let Ok(Some(next)) = timeout_at(end.min(Instant::now() + SILENCE), inbox.recv()).await
    {
        group.take(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only its size counts.
    #[derive(Debug, Default, PartialEq)]
    struct Sizes(Vec<usize>);

    impl Grow for Sizes {
        type One = usize;
        type Group = Self;

        fn bytes(&self) -> usize {
            self.0.iter().sum()
        }
        async fn take(&mut self, one: usize) {
            self.0.push(one);
        }
        async fn verify(&mut self) {}
        fn close(self) -> Self {
            self
        }
    }

    const HALF: usize = BACKLOG_BYTES / 2;
    /// In which what does not wait for anything has come.
    const A_WHILE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn in_a_backlog_a_group_stays_open_for_what_the_answers_before_it_bring() {
        let (inbox, messages) = mpsc::channel(16);
        let (ready, mut groups) = mpsc::channel(1);
        let (answered, settled) = watch::channel(0);
        tokio::spawn(gather(Sizes::default, messages, ready, settled));
        // Both are there before anybody looks.
        inbox.try_send(HALF).unwrap();
        inbox.try_send(HALF).unwrap();
        assert_eq!(groups.recv().await, Some(Sizes(vec![HALF, HALF])));
        // What was left of the box's window: a group by itself, if nobody waited.
        inbox.send(1).await.unwrap();
        assert!(
            tokio::time::timeout(A_WHILE, groups.recv()).await.is_err(),
            "it did not wait for the answers"
        );
        inbox.send(2).await.unwrap();
        answered.send_replace(1);
        // The box goes on at once.
        inbox.try_send(HALF).unwrap();
        inbox.try_send(HALF).unwrap();
        assert_eq!(groups.recv().await, Some(Sizes(vec![1, 2, HALF, HALF])));
    }

    #[tokio::test]
    async fn outside_of_a_backlog_and_at_its_end_nothing_waits_for_long() {
        let (inbox, messages) = mpsc::channel(16);
        let (ready, mut groups) = mpsc::channel(1);
        let (answered, settled) = watch::channel(0);
        tokio::spawn(gather(Sizes::default, messages, ready, settled));
        for size in [1, 2, 2 * HALF] {
            inbox.send(size).await.unwrap();
            assert_eq!(groups.recv().await, Some(Sizes(vec![size])), "nothing is answered yet");
        }
        inbox.send(3).await.unwrap();
        answered.send_replace(3);
        assert_eq!(groups.recv().await, Some(Sizes(vec![3])), "the box had no more");
        // Nor is it a backlog any more.
        inbox.send(4).await.unwrap();
        assert_eq!(groups.recv().await, Some(Sizes(vec![4])));
        drop(inbox);
        assert_eq!(groups.recv().await, None);
    }

    #[test]
    fn a_group_is_waited_for_in_a_backlog_alone_and_never_for_more_than_fits() {
        let check = |before, bytes| assert_eq!(expected(before), bytes, "after {before}");
        check(0, 0);
        check(BACKLOG_BYTES - 1, 0);
        check(BACKLOG_BYTES, BACKLOG_BYTES);
        // The last batch of a group may pass its bound.
        check(GROUP_BYTES_MAX + 9, GROUP_BYTES_MAX);
    }
}
