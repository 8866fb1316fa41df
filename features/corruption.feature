Feature: Damaged data
  Bytes on a disk that nobody wrote. PostgreSQL finds them by a checksum, and only when it reads them: a page that is in
  memory, or WAL that nobody needs, can be damaged for a long time.

  # The standby reads the page when it has been restarted, and not before. Nobody who writes notices.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: A page of a table is corrupted on a standby
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When a page of the table on node3 is corrupted
    And the fault "postgresql_restart" hits node3
    And 20 s to 25 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Recovery ends at the damaged page and takes it for the end of the WAL. Patroni starts the primary again in place, so
  # what was acknowledged after that page is gone on it (122 rows, 519 ms). The standbys have it, are ahead of their primary
  # on its own timeline, and never follow it again. No failover explains the loss, so no bound allows it: this scenario
  # fails, and is right to.
  @claim:RPO-5-ASYNC @claim:RECOVER-REWIND
  Scenario: The last page of the primary's WAL is corrupted and PostgreSQL dies
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When a page of the WAL on the primary is corrupted
    And PostgreSQL on the primary is killed
    And clients can write again
    And the fault is healed
    Then at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # The leader key is given up when Patroni finds the directory empty, and the node is copied from the new primary.
  @documented
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's data directory is wiped
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the data directory of the primary is wiped
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
