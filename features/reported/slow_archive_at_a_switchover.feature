Feature: The archive is slow when the primary hands over
  patroni #1905, repaired by #2067. PostgreSQL ends only when its last WAL is archived. A hanging archive_command kept a
  primary in "stopping" for over 30 minutes, with its leader key renewed all the while.

  # The key is given up as soon as a standby has everything, however long the archiver takes.
  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: A switchover while each file takes 30 s to archive
    Given the topology "single-region"
    And the PostgreSQL parameter "archive_mode" is "on"
    And the PostgreSQL parameter "archive_command" is "sleep 30"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 15 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @nightly @claim:SWITCH-2-5 @claim:NO-SPLIT-BRAIN
  Scenario: A switchover while nothing can be archived
    Given the topology "single-region"
    And the PostgreSQL parameter "archive_mode" is "on"
    And the PostgreSQL parameter "archive_command" is "false"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 15 s
    And no acknowledged write is lost
    And never do two nodes accept writes
