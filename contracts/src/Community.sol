// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Access} from "./Access.sol";
import {Devices} from "./Devices.sol";
import {NotAnOperator, Operators, WrongNonce} from "./Operators.sol";
import {Voting} from "./Voting.sol";

/// @title Who belongs to a community
/// @notice Keeps the operators, the members with their roles, meters and devices, who may read their data, and what
/// they decide by vote.
contract Community is Devices, Access, Voting {
    /// @param operators accounts of the operators, each once
    /// @param threshold_ how many of them must sign a post
    /// @param config_ hash of the canonical configuration file
    constructor(address[] memory operators, uint8 threshold_, bytes32 config_)
        Operators(operators, threshold_, config_)
    {}
}
