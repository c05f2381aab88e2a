use proto::authorization::v1::ListRoleBindingsRequest;
use proto::registry::v1::{ListDeploymentsRequest, ListDeploysRequest};

use super::huge;
use crate::harness::orders::WORKSPACE;
use crate::harness::refusal::done;
use crate::harness::requests::image;
use crate::harness::{DEPLOYMENT, Orders, Setup, refused};

on_both_databases!(
    a_page_is_taken_from_its_own_list_only,
    pages_stay_stable_while_deploys_arrive,
);

async fn a_page_is_taken_from_its_own_list_only(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let admin = &orders.admin;
    let deploys = ListDeploysRequest {
        parent: DEPLOYMENT.to_owned(),
        page_size: 1,
        ..ListDeploysRequest::default()
    };
    let bindings = ListRoleBindingsRequest {
        parent: DEPLOYMENT.to_owned(),
        page_size: 1,
        ..ListRoleBindingsRequest::default()
    };
    let deployments = ListDeploymentsRequest {
        parent: WORKSPACE.to_owned(),
        ..ListDeploymentsRequest::default()
    };
    let token = done(admin.registry().list_deploys(deploys.clone()).await).next_page_token;
    let of_bindings = admin
        .authorization()
        .list_role_bindings(bindings.clone())
        .await;
    let of_bindings = done(of_bindings).next_page_token;
    assert!(!token.is_empty() && !of_bindings.is_empty());

    for (page_size, page_token, fields) in [
        (-1, String::new(), ["page_size"].as_slice()),
        (i32::MIN, String::new(), &["page_size"]),
        (0, "2".to_owned(), &["page_token"]),
        (0, "\0".to_owned(), &["page_token"]),
        (0, huge(), &["page_token"]),
        (-1, "!".to_owned(), &["page_size", "page_token"]),
    ] {
        let deploys = ListDeploysRequest {
            page_size,
            page_token: page_token.clone(),
            ..deploys.clone()
        };
        refused(admin.registry().list_deploys(deploys).await).names_fields(fields);
        let deployments = ListDeploymentsRequest {
            page_size,
            page_token: page_token.clone(),
            ..deployments.clone()
        };
        refused(admin.registry().list_deployments(deployments).await).names_fields(fields);
        let bindings = ListRoleBindingsRequest {
            page_size,
            page_token,
            ..bindings.clone()
        };
        refused(admin.authorization().list_role_bindings(bindings).await).names_fields(fields);
    }

    let foreign = ListDeploysRequest {
        page_token: of_bindings,
        ..deploys.clone()
    };
    // A token says where a page begins; that its list is of the same parent is all that it says.
    let foreign = admin.registry().list_deploys(foreign).await;
    refused(foreign).names_fields(&["page_token"]);
    let foreign = ListDeploymentsRequest {
        page_token: token,
        ..deployments
    };
    let foreign = admin.registry().list_deployments(foreign).await;
    refused(foreign).names_fields(&["page_token"]);
    let enormous = ListDeploysRequest {
        page_size: i32::MAX,
        ..deploys
    };
    let all = done(admin.registry().list_deploys(enormous).await);
    assert_eq!((all.deploys.len(), all.next_page_token.as_str()), (5, ""));
}

async fn pages_stay_stable_while_deploys_arrive(setup: Setup) {
    let orders = Orders::with_history(setup).await;
    let mut numbers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDeploysRequest {
            parent: DEPLOYMENT.to_owned(),
            page_size: 2,
            page_token,
            filter: String::new(),
        };
        let page = done(orders.sam.registry().list_deploys(request).await);
        numbers.extend(page.deploys.iter().map(|deploy| deploy.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        orders.dana.ship(DEPLOYMENT, image('c', "3.1-17")).await;
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    assert_eq!(orders.latest().await, 7);
}
