Feature: Two regions
  Document 000: a Patroni cluster in one region, and a standby cluster in another one that streams from it over a WAN link
  and refuses writes. A failure inside the first region must not reach the second, and the second must not lose its place
  in the WAL.

  @documented @two_region
  @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:SAME-SCOPE @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies, and the other region follows the new primary
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes

  # What an operator does when a region is gone, with the time of each step. Nobody waits for a decision here: what the
  # document calls "minutes" is the time of people, and comes on top.
  @documented @two_region
  @claim:REGION-RTO @claim:REGION-RPO @claim:XLAG-STREAM @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: A region is lost, and the other one is promoted
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    Then never do two nodes accept writes

  # The document's own words: where they put `standby_cluster` Patroni does not read it, so the second region becomes a
  # cluster of its own, and accepts writes.
  @documented @two_region
  @claim:WRITE-BLOCKED @claim:SLOT-HOLDS @claim:NO-SPLIT-BRAIN
  Scenario: The second region as the document writes it
    Given the topology "two-region-as-written"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    Then never do two nodes accept writes
