Feature: A standby misses more WAL than its slot keeps
  patroni #3641. max_slot_wal_keep_size bounds the WAL that a slot holds back. A standby that is away for longer loses
  its slot and the WAL that it needs. WAL files are switched every 3 s here, so that a small load makes much WAL.

  # The standby asks for a file that is gone, for ever; nobody who writes notices.
  @nightly @claim:NO-SPLIT-BRAIN
  Scenario: The standby comes back and its WAL is gone
    Given the topology "single-region"
    And the PostgreSQL parameter "max_slot_wal_keep_size" is "64MB"
    And the PostgreSQL parameter "max_wal_size" is "128MB"
    And the PostgreSQL parameter "archive_mode" is "on"
    And the PostgreSQL parameter "archive_command" is "true"
    And the PostgreSQL parameter "archive_timeout" is "3s"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits node3
      | from  | node1 |
      | ports | 5432  |
    And a standby is 150 MB behind, within 5 min
    And the fault is healed
    And 30 s to 35 s have passed
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @nightly @claim:REINIT @claim:NO-SPLIT-BRAIN
  Scenario: An operator rebuilds the standby
    Given the topology "single-region"
    And the PostgreSQL parameter "max_slot_wal_keep_size" is "64MB"
    And the PostgreSQL parameter "max_wal_size" is "128MB"
    And the PostgreSQL parameter "archive_mode" is "on"
    And the PostgreSQL parameter "archive_command" is "true"
    And the PostgreSQL parameter "archive_timeout" is "3s"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits node3
      | from  | node1 |
      | ports | 5432  |
    And a standby is 150 MB behind, within 5 min
    And the fault is healed
    And an operator reinitialises node3
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes
