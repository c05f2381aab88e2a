use chassis::testing::TestDatabase;
use model::names::{ResourceName, RoleBindingId};
use uuid::Uuid;

use super::{FIRST, author, binding, empty, now, revision, role};
use crate::domain::policy::PolicyRevision;
use crate::domain::policy_change::{Author, Change};
use crate::domain::policy_file::{Current, Plan, PolicyFile, plan};
use crate::store::{Error, Store};

const FULL: &str = "\
version: 1
name: platform
built_in_roles:
  DEPLOYMENT_EDITOR: {permissions: {deployment.images.push: false}}
roles:
- {name: workspaces/w/roles/a, permissions: [deployment.dags.push]}
- {name: workspaces/w/roles/b, permissions: [deployment.images.push]}
role_bindings:
- {resource: workspaces/w, principal: 'user:ann', role: workspaces/w/roles/a}
- {resource: workspaces/w, principal: 'user:bob', role: workspaces/w/roles/b}
- {resource: workspaces/w, principal: 'user:cid', role: roles/WORKSPACE_VIEWER}
";

/// One of each is gone, and one of each is another.
const LESS: &str = "\
version: 1
name: platform
built_in_roles:
  DEPLOYMENT_VIEWER: {permissions: {deployment.dags.push: true}}
roles:
- {name: workspaces/w/roles/b, permissions: [deployment.dags.push]}
role_bindings:
- {resource: workspaces/w, principal: 'user:bob', role: workspaces/w/roles/b}
- resource: workspaces/w
  principal: user:cid
  role: roles/WORKSPACE_VIEWER
  expire_time: 2030-01-01T00:00:00Z
";

const EMPTY: &str = "version: 1\nname: platform\n";

fn file(text: &str) -> PolicyFile {
    PolicyFile::read(text, now()).unwrap()
}

fn by_file() -> Author {
    Author {
        managed_by: Some("platform".parse().unwrap()),
        ..author()
    }
}

/// What has to change, given what there is. The ids of new bindings begin at `first_id`.
fn planned(file: &PolicyFile, current: &Current, first_id: u128) -> Plan {
    let mut ids = first_id..;
    plan(file, current, &by_file(), || {
        RoleBindingId::new(Uuid::from_u128(ids.next().unwrap()))
    })
}

/// All that is recorded, oldest first, without the first administrator.
async fn recorded(store: &Store) -> Vec<(i64, Author, Change)> {
    let changes = store
        .policy_changes(&ResourceName::System, true, None, 100)
        .await;
    let mut changes = changes.unwrap();
    changes.pop();
    changes.reverse();
    let changes = changes
        .into_iter()
        .map(|change| (change.position.revision.0, change.author, change.change));
    changes.collect()
}

async fn a_plan_is_carried_out_at_one_revision_and_all_is_as_the_file_says(db: TestDatabase) {
    let store = empty(&db).await;
    let mut expected = Vec::new();
    let mut at = FIRST;
    for (number, (text, steps)) in [(FULL, 6), (LESS, 5), (EMPTY, 4), (FULL, 6)]
        .into_iter()
        .enumerate()
    {
        let file = file(text);
        let current = store.concerning(&file, at).await.unwrap();
        let plan = planned(&file, &current, 100 * (number as u128 + 1));
        assert_eq!(plan.steps.len(), steps, "{plan:?}");
        let made = store.apply(at, plan.clone(), &by_file()).await.unwrap();
        at = PolicyRevision(at.0 + 1);
        assert_eq!((made.revision, made.made), (at, true));
        assert_eq!(made.value, plan);
        assert_eq!(revision(&store).await, at);
        let changes = plan.changes().into_iter();
        expected.extend(changes.map(|change| (at.0, by_file(), change)));
        assert_eq!(recorded(&store).await, expected);

        let current = store.concerning(&file, at).await.unwrap();
        assert!(planned(&file, &current, 1_000).is_empty(), "{current:?}");
        let roles = current.roles.keys().collect::<Vec<_>>();
        assert_eq!(roles, file.roles.keys().collect::<Vec<_>>());
        let brought = current.bindings.values();
        let brought = brought.filter(|binding| binding.managed_by.is_some());
        assert_eq!(brought.count(), file.bindings.len());
        let said = current.built_in_roles.iter();
        let said = said.map(|(key, entry)| (*key, entry.held));
        assert_eq!(said.collect::<Vec<_>>(), {
            let said = file.built_in_roles.iter();
            said.map(|(key, held)| (*key, *held)).collect::<Vec<_>>()
        });
    }
}

async fn a_plan_that_cannot_be_carried_out_as_a_whole_leaves_nothing(db: TestDatabase) {
    let store = empty(&db).await;
    let full = file(FULL);
    let current = store.concerning(&full, FIRST).await.unwrap();
    let plan = planned(&full, &current, 100);
    let taken = role("workspaces/w/roles/b");
    store
        .create_role(FIRST, &taken, &author(), None)
        .await
        .unwrap();
    let at = PolicyRevision(2);
    let before = recorded(&store).await;

    let late = store.apply(FIRST, plan.clone(), &by_file()).await;
    assert!(matches!(late, Err(Error::PolicyMoved)), "{late:?}");
    let late = store.concerning(&full, FIRST).await;
    assert!(matches!(late, Err(Error::PolicyMoved)), "{late:?}");
    // The plan is of a time when the role was not there, whatever is said of its revision.
    let clash = store.apply(at, plan, &by_file()).await;
    assert!(
        matches!(&clash, Err(Error::RoleExists(name)) if *name == taken.name),
        "{clash:?}"
    );

    assert_eq!(revision(&store).await, at);
    assert_eq!(recorded(&store).await, before);
    let current = store.concerning(&full, at).await.unwrap();
    let expected = [(taken.name.clone(), taken)];
    assert_eq!(current.roles, expected.into());
    assert!(current.built_in_roles.is_empty());
    let of_admin = current.bindings.values().map(|one| one.principal.clone());
    assert_eq!(
        of_admin.collect::<Vec<_>>(),
        ["user:admin".parse().unwrap()]
    );
}

async fn what_is_none_of_a_files_business_is_not_among_what_concerns_it(db: TestDatabase) {
    let store = empty(&db).await;
    let names = ["workspaces/w/roles/b", "workspaces/w/roles/other"];
    let mut at = FIRST;
    for name in names {
        let made = store.create_role(at, &role(name), &author(), None).await;
        at = made.unwrap().revision;
    }
    // The role that the file names, to somebody whom it does not name; one role of neither; and what
    // it names itself.
    for (id, principal, role) in [
        (7, "user:eve", names[0]),
        (8, "user:eve", names[1]),
        (9, "user:cid", "roles/WORKSPACE_VIEWER"),
    ] {
        let bound = binding(id, principal, role, "workspaces/w");
        let made = store.create_role_binding(at, &bound, &author(), None).await;
        at = made.unwrap().revision;
    }
    let concerning = async |text: &str| {
        let current = store.concerning(&file(text), at).await.unwrap();
        let roles = current.roles.keys().map(ToString::to_string);
        let bindings = current.bindings.values();
        let bindings = bindings.map(|one| one.name.id().to_string());
        (roles.collect::<Vec<_>>(), bindings.collect::<Vec<_>>())
    };
    let id = |id: u128| Uuid::from_u128(id).to_string();
    let (head, rest) = FULL.split_once("built_in_roles").unwrap();
    let (_, tail) = rest.split_once("roles:").unwrap();
    let (roles, bindings) = concerning(&format!("{head}roles:{tail}")).await;
    assert_eq!(roles, names[..1]);
    assert_eq!(bindings, [id(1), id(9), id(7)]);
    let (roles, bindings) = concerning(EMPTY).await;
    assert_eq!(roles, Vec::<String>::new());
    assert_eq!(bindings, [id(1)]);
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_plan_is_carried_out_at_one_revision_and_all_is_as_the_file_says,
    a_plan_that_cannot_be_carried_out_as_a_whole_leaves_nothing,
    what_is_none_of_a_files_business_is_not_among_what_concerns_it,
);
