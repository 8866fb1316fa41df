Feature: A lost slot, before and after it was mended
  patroni #3641. PostgreSQL 18 refuses a standby whose slot has lost its WAL, also once the standby was rebuilt and needs
  none of that WAL any more. Patroni 4.1.3 keeps such a slot, 4.1.4 and later drop it and make it anew. The two scenarios
  differ in Patroni's version alone.

  # It fails, and is right to: the rebuilt node asks for its slot every 5 s and is refused each time.
  @nightly @claim:REINIT
  Scenario: Patroni 4.1.3 rebuilds the standby of a lost slot
    Given the topology "single-region"
    And the version of "postgresql" is "18"
    And the version of "patroni" is "4.1.3"
    And the PostgreSQL parameter "max_slot_wal_keep_size" is "64MB"
    And the PostgreSQL parameter "max_wal_size" is "128MB"
    And 4 clients writing 25 rows per second each, with 64 kB of WAL beside each row
    When the fault "partition" hits node3
      | from  | node1 |
      | ports | 5432  |
    And a standby is 250 MB behind
    And the fault is healed
    And an operator reinitialises node3
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost

  @nightly @versions @claim:REINIT
  Scenario: Patroni 4.1.5 rebuilds the standby of a lost slot
    Given the topology "single-region"
    And the version of "postgresql" is "18"
    And the version of "patroni" is "4.1.5"
    And the PostgreSQL parameter "max_slot_wal_keep_size" is "64MB"
    And the PostgreSQL parameter "max_wal_size" is "128MB"
    And 4 clients writing 25 rows per second each, with 64 kB of WAL beside each row
    When the fault "partition" hits node3
      | from  | node1 |
      | ports | 5432  |
    And a standby is 250 MB behind
    And the fault is healed
    And an operator reinitialises node3
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
