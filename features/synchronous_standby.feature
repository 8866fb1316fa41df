Feature: Loss of the synchronous standby
  A commit waits for the synchronous standby. When it is lost, Patroni names another one in its next loop; when none is
  left, it goes on without, or blocks writes if synchronous_mode_strict is on.

  @documented @sync
  @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The synchronous standby's PostgreSQL and agent die
    Given the topology "single-region-sync"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on the synchronous standby dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @documented @sync
  @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: Both standbys are lost and writes become asynchronous
    Given the topology "single-region-sync"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on node2 dies
    And the service "patroni" on node3 dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Strict: rather no write than one that is on one node alone. Writes come back with a standby, not before.
  @sync
  @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: Both standbys are lost and writes are blocked
    Given the topology "single-region-sync"
    And the Patroni setting "synchronous_mode_strict" is "on"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on node2 dies
    And the service "patroni" on node3 dies
    And 40 s to 45 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for between 35 s and 120 s
    And no acknowledged write is lost
    And never do two nodes accept writes
