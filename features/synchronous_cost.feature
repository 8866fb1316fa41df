Feature: What synchronous replication costs
  A commit that waits for a standby takes longer. 002 has 3 ms with none, 8 with one and 15 with two synchronous standbys. All
  hosts are on one machine here, so its milliseconds say little; the ratios of one run are held against the document's.

  @documented @sync
  @claim:SYNC-COST @claim:NO-SPLIT-BRAIN
  Scenario: Commits wait for one standby, for none and for two
    Given the topology "sync-manual"
    And 4 clients writing 50 rows per second each
    When 8 s to 9 s have passed
    And an operator sets the parameter "synchronous_standby_names" to "" on "node1"
    And 8 s to 9 s have passed
    And an operator sets the parameter "synchronous_standby_names" to "FIRST 2 (node2, node3)" on "node1"
    And 8 s to 9 s have passed
    Then a commit with one synchronous standby takes at most 267 % of the time of one without
    And a commit with two synchronous standbys takes at most 500 % of the time of one without
    And no acknowledged write is lost
    And never do two nodes accept writes
