Feature: Two databases and their vectors
  Document 002 has two databases in one cluster, the project's and a shared one, with vectors in both: after a failover the new
  primary serves both, with all that was acknowledged. Clients write into each.

  @dual
  @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: Two databases fail over together
    Given the topology "two-databases"
    And 2 clients writing 20 rows per second each
    When the service "patroni" on the primary dies
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then every database is the same on every node, with every acknowledged write
    And no acknowledged write is lost
    And never do two nodes accept writes

  # What the index finds is stated: an HNSW index need not find all that is truly nearest.
  @documented @dual
  @claim:BOTH-DBS @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: Vectors and their index fail over with both databases
    Given the topology "two-databases-vector"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on the primary dies
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then every database is the same on every node, with every acknowledged write
    And no acknowledged write is lost
    And never do two nodes accept writes

  # PostgreSQL writes no WAL for unlogged tables: no standby has their rows, and the failover loses them.
  @dual @control:databases
  Scenario: The shared database has unlogged tables
    Given the topology "two-databases-unlogged"
    And 2 clients writing 20 rows per second each
    When the service "patroni" on the primary dies
    And another node has taken over
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then every database is the same on every node, with every acknowledged write
