Feature: Partitions
  A host that is cut off lives on. What the documents promise of a primary in the minority is that it steps down before
  another one takes over (002): there are never two primaries.

  # Everything between the primary's host and the others is dropped. Clients that reach it all the same go on writing
  # there until it steps down, and what they write in that time is lost: more than the documents allow. It rejoins late,
  # because PostgreSQL ends only when its WAL senders do, and they wait for TCP to send again what was dropped.
  @documented @quarterly
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE @claim:RECOVER-REWIND
  Scenario: The primary is partitioned away
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  @documented @sync
  @claim:RTO-30 @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE @claim:RECOVER-REWIND
  Scenario: The primary is partitioned away under synchronous replication
    Given the topology "single-region-sync"
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The same, but a look-up of a name hangs as well, and for longer than Patroni's retry_timeout bounds.
  @documented
  @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE
  Scenario: The primary is partitioned away, and its name service is gone
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary is partitioned from the rest, name service and all
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes

  @documented
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE
  Scenario: Nothing from the primary reaches the others
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When nothing from the primary reaches the rest
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And never do two nodes accept writes

  @documented
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE
  Scenario: Nothing from the others reaches the primary
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When nothing reaches the primary from the rest
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And never do two nodes accept writes

  # PostgreSQL and its standbys are well, but the agent can't renew the lease: it must give the primary up in time.
  @documented
  @claim:NO-SPLIT-BRAIN @claim:QUORUM-DEMOTE @claim:RPO-5-ASYNC
  Scenario: The primary loses its DCS
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary loses its DCS
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # Nobody doubts that it leads: writes go on, and the standbys catch up when they hear it again.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: The primary loses its standbys
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary loses its standbys
    And 20 s to 30 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: A standby is partitioned away
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When a standby is partitioned from the rest
    And 35 s to 45 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Every node hears a majority, but no two of them the same one: with three, the primary and one standby hear each
  # other only through the third.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: Each node hears another majority
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the nodes are partitioned as a majorities ring
    And 50 s to 60 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # The cluster is well, and nobody can use it.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: Clients are cut off from the proxy
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When clients are cut off from the proxy
    And 8 s to 12 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for between 8 s and 20 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Packets pass, names don't: connections that are open stay open.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: The primary's name service is gone
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the primary loses its name service
    And 50 s to 60 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # TCP sends again what is lost. Replication is slower for it, and the agent must not lose its lease.
  @documented
  @claim:NO-SPLIT-BRAIN
  Scenario: A tenth of the packets from the primary to its standbys is lost
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When 10 % of the packets from the primary to the standbys are lost
    And 30 s to 40 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes
