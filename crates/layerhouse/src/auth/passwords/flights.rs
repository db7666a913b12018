//! Checks that several ask for at once and that are done once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::Login;

/// Logins that are being checked.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Login, Open>>);

struct Open {
    cell: Arc<OnceCell<bool>>,
    /// How many are aboard. Not the count of the cell's owners: one that leaves still is one for a moment
    /// after it looked, and two that leave at once would each take the other for the last.
    aboard: usize,
}

/// A check that several wait for.
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    login: Login,
    pub(super) cell: Arc<OnceCell<bool>>,
}

impl Flights {
    pub(super) fn join(&self, login: Login) -> Flight<'_> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = flights.entry(login).or_insert_with(|| Open {
            cell: Arc::default(),
            aboard: 0,
        });
        open.aboard += 1;
        Flight {
            flights: self,
            login,
            cell: Arc::clone(&open.cell),
        }
    }
}

#[cfg(test)]
impl Flights {
    pub(super) fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }
}

impl Drop for Flight<'_> {
    /// The last one to leave takes the flight down.
    fn drop(&mut self) {
        let mut flights = self
            .flights
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = flights.get_mut(&self.login) {
            open.aboard -= 1;
            if open.aboard == 0 {
                flights.remove(&self.login);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leaves_last_takes_the_flight_down() {
        let flights = Flights::default();
        let (one, two) = (flights.join([1; 32]), flights.join([1; 32]));
        assert!(Arc::ptr_eq(&one.cell, &two.cell));
        // Held a moment longer than its flight, as by one that is just leaving.
        let leaving = Arc::clone(&one.cell);
        drop(one);
        assert_eq!(flights.count(), 1);
        drop(two);
        assert_eq!(flights.count(), 0);
        drop(leaving);
    }
}
