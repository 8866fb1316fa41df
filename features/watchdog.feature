Feature: Watchdogs
  Document 002's answer to a primary whose agent does not get to refresh its lease, and can't demote PostgreSQL either: the
  agent of the leader feeds a watchdog after each refresh, and one that is not fed resets its host before the lease is over.

  # The same fault is caught as two writers without a watchdog (negative_controls.feature).
  @documented @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The agent of the primary freezes, and its watchdog resets the host
    Given the topology "watchdog"
    And 4 clients writing 25 rows per second each
    When the Patroni agent on the primary freezes
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the watchdog resets its host before another node leads
    And never do two nodes accept writes

  # Nobody stops a PostgreSQL whose agent is dead either: without a watchdog it goes on for clients who reach it
  # (primary_loss.feature). Killed, the agent can't stop its watchdog.
  @documented @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The agent of the primary dies, and its watchdog resets the host
    Given the topology "watchdog"
    And 4 clients writing 25 rows per second each
    When the Patroni agent on the primary is killed
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the watchdog resets its host before another node leads
    And never do two nodes accept writes
