Feature: Poolers before the database
  Document 002 has a PgBouncer on each node, behind HAProxy: it "survives failover (reconnects to new primary
  automatically)". Clients that write here go through it, and beside them new connections to PostgreSQL itself show what the
  outage would have been without it.

  @documented @pools
  @claim:POOL-SURVIVES @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies under pooled clients
    Given the topology "pooled"
    And 4 clients writing 25 rows per second each
    And 500 idle clients
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then pooled clients write again by themselves
    And no idle client is left behind
    And no pooled session stays with a standby
    And each pooler has at most 30 sessions with PostgreSQL
    And clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # A pooler keeps its clients when PostgreSQL ends its own sessions, and HAProxy closes them only when it has found the server
  # down: until then they write to a standby.
  @documented @pools
  @claim:POOL-SURVIVES @claim:SWITCH-2-5 @claim:NO-SPLIT-BRAIN
  Scenario: An operator switches over under pooled clients
    Given the topology "pooled"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then pooled clients write again by themselves
    And no pooled session stays with a standby
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A pooler that was refused a session waits before it asks again (`server_login_retry`, 15 s), and its clients with it: a
  # restart in place that PostgreSQL needs a moment for costs them that time.
  @documented @pools
  @claim:POOL-SURVIVES @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: PostgreSQL dies alone under pooled clients
    Given the topology "pooled"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And clients can write again
    And every node has rejoined
    Then pooled clients write again by themselves
    And clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # 002 has 10,000 clients on 25 sessions. Each of them takes two files of HAProxy's, which are more than many a machine gives to
  # one process. docs/measured.md has what became of 9,000.
  @documented @pools @nightly
  @claim:POOL-SURVIVES @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies under thousands of pooled clients
    Given the topology "pooled"
    And 4 clients writing 25 rows per second each
    And 5000 idle clients
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And 40 s to 41 s have passed
    Then pooled clients write again by themselves
    And no idle client is left behind
    And each pooler has at most 30 sessions with PostgreSQL
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  @pools @control:pool
  Scenario: An operator switches over, and nobody closes pooled sessions
    Given the topology "pooled-sessions-kept"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    And 12 s to 13 s have passed
    Then pooled clients write again by themselves
    And no pooled session stays with a standby
