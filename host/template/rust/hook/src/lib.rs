//! Hook that logs each request and adds the header `x-{{name}}` to each response.

use carya_guest::prelude::*;

/// Runs before the controller. If it returned a problem, this would be the response, and no controller would run.
#[carya_guest::before]
fn before(request: Request) -> Result<(), Problem> {
    carya_guest::info!("{} {}", request.method(), request.path());
    Ok(())
}

/// Runs after the controller. With a priority of 100 or more it runs inside the transaction, and its errors roll back.
#[carya_guest::after]
fn after(reply: Reply) -> Result<(), Problem> {
    reply.set_header("x-{{name}}", "1")?;
    Ok(())
}
