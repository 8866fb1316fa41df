Feature: Synchronous within a region, asynchronous to the other one
  Document 004, its recommended layout: a commit waits for another zone, and never for the other region.

  @documented @sync_region
  @claim:SYNC-AZ-ASYNC-DR @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies, and nothing is lost
    Given the topology "sync-az-async-dr"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And the region that follows accepts no write
    And never do two nodes accept writes

  # The price of the other region: none, however slow the link is.
  @documented @sync_region
  @claim:SYNC-AZ-ASYNC-DR
  Scenario: The link to the other region is slow, and commits are not
    Given the topology "sync-az-async-dr"
    And 4 clients writing 25 rows per second each
    When a round trip from region us-west-2 to region us-east-1 takes 1000 ms longer
    And 10 s to 11 s have passed
    And the fault is healed
    And every node has rejoined
    Then no client waits longer than 500 ms for a write
    And no acknowledged write is lost

  @documented @sync_region
  @claim:REGION-RPO @claim:REGION-RTO @claim:NO-SPLIT-BRAIN
  Scenario: The whole region is lost, and what the other one had not got is lost with it
    Given the topology "sync-az-async-dr"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    Then never do two nodes accept writes
