// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Demands} from "./Demands.sol";
import {Faults} from "./Faults.sol";
import {Judge} from "./Judge.sol";
import {Settlement} from "./Settlement.sol";

/// @title Objections to posts of a settlement
/// @notice Until a post is final anybody who proves a fault has it deleted, and half of its bond pays for that. The
/// settlement names this contract when it is created, and this one the settlement.
contract Disputes is Faults, Demands {
    constructor(Settlement settlement_) Judge(settlement_) {}
}
