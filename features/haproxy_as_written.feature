Feature: HAProxy's checks as the documents write them
  Document 001 checks with `option pgsql-check`, document 002 with `SELECT 1`. Neither asks which node accepts writes. Each
  runs beside its correction, which the load writes through, so that the same failover shows what both do.

  # pgsql-check passes wherever PostgreSQL answers. While the first node lives it gets every write: also when it is back as
  # a standby, for as long as another one is primary. So writes fail until somebody edits the file.
  @documented @control:routing @claim:HAPROXY-PGSQL-CHECK @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies behind pgsql-check, and comes back
    Given the topology "haproxy-pgsql-check"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And 15 s to 16 s have passed
    Then balancers lead clients that write to the primary
    And no acknowledged write is lost
    And never do two nodes accept writes

  # As written every node that accepts connections gets writes, so two of three clients find a standby. With `option
  # tcp-check` no node ever passes, and nobody can write.
  @documented @control:routing @claim:HAPROXY-SELECT1 @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies behind SELECT 1
    Given the topology "haproxy-select-1"
    And 4 clients writing 25 rows per second each
    When 6 s to 7 s have passed
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And 15 s to 16 s have passed
    Then balancers lead clients that write to the primary
    And no acknowledged write is lost
    And never do two nodes accept writes

  # 002 counts 6 s: three checks, one every 2 s. That is so where the machine refuses the check. A machine that is gone answers
  # nothing, so that each check waits for its own timeout of 2 s before the next one is due.
  @documented
  @claim:HAPROXY-6 @claim:NO-SPLIT-BRAIN
  Scenario: A server whose machine is gone leaves the rotation
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then balancers take a node that died out of their rotation within 6 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  @documented
  @claim:HAPROXY-6 @claim:NO-SPLIT-BRAIN
  Scenario: A server whose machine refuses its checks leaves the rotation
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then balancers take a node that died out of their rotation within 6 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
