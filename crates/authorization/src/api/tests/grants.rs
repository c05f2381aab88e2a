//! Nobody can grant what they do not hold.

use tokio::task::JoinSet;

use super::*;

async fn a_role_cannot_hold_more_than_its_maker(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .create_role(
            "system",
            "role-maker",
            &["deployment.userRoles.update", "deployment.dags.push"],
        )
        .await;
    let deployment = "workspaces/w/deployments/d";
    house.bind("user:mia", "roles/role-maker", deployment).await;

    let fine = role(deployment, "fine", &["deployment.dags.push"]);
    house
        .service
        .create_role(house.as_user("mia", fine))
        .await
        .unwrap();
    let more = role(
        deployment,
        "more",
        &[
            "deployment.dags.push",
            "deployment.images.push",
            "deployment.config.get",
        ],
    );
    let refused = house
        .service
        .create_role(house.as_user("mia", more))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::GrantExceedsOwnPermissions);
    assert_eq!(
        metadata(&refused, "permissions"),
        "deployment.config.get,deployment.images.push"
    );
    assert_eq!(metadata(&refused, "resource"), deployment);
    assert_eq!(metadata(&refused, "principal"), "user:mia");
}

async fn a_binding_cannot_give_more_than_its_maker_holds(db: TestDatabase) {
    let house = House::new(&db).await;
    let deployment = "workspaces/w/deployments/d";
    house
        .create_role("system", "user-manager", &["deployment.userRoles.update"])
        .await;
    house
        .bind("user:mia", "roles/user-manager", deployment)
        .await;
    house
        .bind("user:mia", "roles/DEPLOYMENT_VIEWER", deployment)
        .await;

    let fine = binding("user:new", "roles/DEPLOYMENT_VIEWER", deployment);
    house
        .service
        .create_role_binding(house.as_user("mia", fine))
        .await
        .unwrap();
    // Neither to others nor to herself, neither by a role that is built in nor by a custom one.
    house
        .create_role("system", "pusher", &["deployment.dags.push"])
        .await;
    for (who, role) in [
        ("user:new", "roles/DEPLOYMENT_EDITOR"),
        ("user:mia", "roles/DEPLOYMENT_ADMIN"),
        ("group:data", "roles/pusher"),
    ] {
        let more = binding(who, role, deployment);
        let refused = house
            .service
            .create_role_binding(house.as_user("mia", more))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::GrantExceedsOwnPermissions);
        assert!(metadata(&refused, "permissions").contains("deployment.dags.push"));
    }
    // A binding that exists is no way around.
    house
        .bind("user:old", "roles/DEPLOYMENT_EDITOR", deployment)
        .await;
    let known = binding("user:old", "roles/DEPLOYMENT_EDITOR", deployment);
    let refused = house
        .service
        .create_role_binding(house.as_user("mia", known))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::GrantExceedsOwnPermissions);
}

async fn a_workspace_admin_gives_what_holds_in_the_workspace(db: TestDatabase) {
    let house = House::new(&db).await;
    house
        .bind("group:leads", "roles/WORKSPACE_ADMIN", "workspaces/w")
        .await;
    let token = house.user_token("lena", &["leads"]);
    for (role, parent) in [
        ("roles/WORKSPACE_ADMIN", "workspaces/w"),
        ("roles/DEPLOYMENT_ADMIN", "workspaces/w"),
        ("roles/DEPLOYMENT_ADMIN", "workspaces/w/deployments/d"),
    ] {
        let bind = binding("user:new", role, parent);
        house
            .service
            .create_role_binding(house.request(&token, bind))
            .await
            .unwrap();
    }
}

/// One replica grants while another one takes away what the granter holds: nothing is granted after
/// that.
async fn granting_and_revoking_do_not_pass_each_other(db: TestDatabase) {
    let house = Arc::new(House::new(&db).await);
    let other = Arc::new(house.replica(&db).await);
    for round in 0..6 {
        let granter = format!("granter{round}");
        let admin = house
            .bind(
                &format!("user:{granter}"),
                "roles/WORKSPACE_ADMIN",
                "workspaces/w",
            )
            .await;
        let mut racers = JoinSet::new();
        for racer in 0..3 {
            let (other, granter) = (Arc::clone(&other), granter.clone());
            racers.spawn(async move {
                let principal = format!("user:{round}-{racer}");
                let bind = binding(&principal, "roles/DEPLOYMENT_EDITOR", "workspaces/w");
                let bound = other
                    .service
                    .create_role_binding(other.as_user(&granter, bind))
                    .await;
                bound.ok().map(|bound| bound.into_inner().policy_revision)
            });
        }
        let revoked = house.unbind(&admin.name).await;
        let granted = racers.join_all().await;
        assert!(
            granted.iter().flatten().all(|granted| *granted < revoked),
            "{granted:?} {revoked}"
        );
    }
}

chassis::on_both_databases!(
    crate::store::MIGRATIONS;
    a_role_cannot_hold_more_than_its_maker,
    a_binding_cannot_give_more_than_its_maker_holds,
    a_workspace_admin_gives_what_holds_in_the_workspace,
    granting_and_revoking_do_not_pass_each_other,
);
