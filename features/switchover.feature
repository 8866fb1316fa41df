Feature: Switchover
  A primary that is healthy hands over in order: it sends its standby the last of its WAL before it gives the leader key
  away. The documents (002) promise about 2 to 5 seconds and no loss, under asynchronous replication too.

  # The documented proxy misses the target: it keeps the old primary in rotation for up to three checks of 2 s, beside the
  # new one, and new sessions that it sends there can't write until then.
  @documented @quarterly
  @claim:SWITCH-2-5 @claim:NO-SPLIT-BRAIN
  Scenario: An operator switches over under load
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # A machine that is shut down stops Patroni, which hands over before it ends: no lease has to run out.
  @documented
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The primary's host is shut down in order
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary shuts down
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  @documented
  @claim:SCALE-STANDBY
  Scenario: An operator takes a standby out and puts it back
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When an operator removes a standby from the cluster
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 0 s
    And no acknowledged write is lost
    And never do two nodes accept writes
