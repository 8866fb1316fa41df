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
