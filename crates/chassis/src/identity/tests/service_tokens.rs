use std::collections::HashSet;
use std::sync::Barrier;

use chrono::TimeDelta;
use model::ServiceName;

use super::World;

#[test]
fn a_token_is_made_once_until_a_minute_before_its_end() {
    let world = World::new();
    let tokens = world.service_tokens();
    let first = tokens.token(ServiceName::DeployRegistry).unwrap();

    world
        .clock
        .advance(TimeDelta::minutes(4) - TimeDelta::microseconds(1));
    assert_eq!(tokens.token(ServiceName::DeployRegistry).unwrap(), first);

    world.clock.advance(TimeDelta::microseconds(1));
    let second = tokens.token(ServiceName::DeployRegistry).unwrap();
    assert_ne!(second, first);
    let caller = world.verify(&second).unwrap();
    assert_eq!(
        caller.expire_time() - world.clock.now(),
        TimeDelta::minutes(5)
    );
}

#[test]
fn each_service_gets_a_token_of_its_own() {
    let world = World::new();
    let tokens = world.service_tokens();
    let registrys = tokens.token(ServiceName::DeployRegistry).unwrap();
    let authorizations = tokens.token(ServiceName::Authorization).unwrap();
    assert!(world.verify(&registrys).is_ok());
    assert!(world.verify(&authorizations).is_err());
}

#[test]
fn a_clock_that_is_set_back_makes_a_new_token() {
    let world = World::new();
    let tokens = world.service_tokens();
    tokens.token(ServiceName::DeployRegistry).unwrap();
    world.clock.advance(TimeDelta::hours(-1));
    let token = tokens.token(ServiceName::DeployRegistry).unwrap();
    assert!(world.verify(&token).is_ok());
}

#[test]
fn many_who_ask_at_once_get_the_same_token() {
    let world = World::new();
    let tokens = world.service_tokens();
    let start = Barrier::new(16);
    for _ in 0..5 {
        let made: HashSet<_> = std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                tokens.token(ServiceName::DeployRegistry).unwrap()
            };
            let askers: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            askers
                .into_iter()
                .map(|asker| asker.join().unwrap())
                .collect()
        });
        assert_eq!(made.len(), 1);
        assert!(world.verify(made.iter().next().unwrap()).is_ok());
        world.clock.advance(TimeDelta::minutes(5));
    }
}

#[test]
fn the_header_is_the_token_and_is_not_shown() {
    let world = World::new();
    let tokens = world.service_tokens();
    let token = tokens.token(ServiceName::DeployRegistry).unwrap();
    let header = tokens.header(ServiceName::DeployRegistry).unwrap();
    assert_eq!(header.to_str().unwrap(), format!("Bearer {token}"));
    assert!(!format!("{header:?} {tokens:?}").contains(&*token));
}
