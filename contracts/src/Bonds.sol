// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Cash} from "./Cash.sol";

/// @title What operators stake on what they post
/// @notice Each open post binds one bond. Half of the bond of a post that is struck is credited to whoever proved the
/// fault, who takes it as an operator takes its own.
abstract contract Bonds is Cash {
    struct Bond {
        /// Lane units paid in or earned.
        uint64 lanes;
        /// Posts of this operator that are neither final nor gone; each binds `bond` lane units.
        uint32 open;
    }

    /// @notice Lane units that an operator stakes on each of its posts until it is final or gone.
    uint64 public immutable bond;

    /// @notice What belongs to whom. Whoever stakes may be no operator any more.
    mapping(address account => Bond) public bonds;
    /// @notice Lane units of struck posts' bonds that were credited to nobody and stay here for good: an operator who
    /// proves its own fault before others do loses too.
    uint256 public forfeited;

    event BondPlaced(address indexed operator, uint64 lanes);
    event BondTaken(address indexed operator, uint64 lanes);

    /// @notice A bond is at most 2^64 - 1 lane units.
    error BondOverflow(address operator, uint64 held, uint64 lanes);
    /// @notice More than what the operator staked beyond its open posts, in lane units.
    error BondBound(address operator, uint256 free, uint64 lanes);
    /// @notice The operator must stake more to have one more open post, in lane units.
    error InsufficientBond(address operator, uint64 staked, uint256 needed);

    constructor(uint64 bond_) {
        bond = bond_;
    }

    /// @notice The caller stakes on its posts to come.
    /// @param lanes lane units
    function placeBond(uint64 lanes) external payable {
        uint64 held = bonds[msg.sender].lanes;
        require(lanes <= type(uint64).max - held, BondOverflow(msg.sender, held, lanes));
        bonds[msg.sender].lanes = held + lanes;
        emit BondPlaced(msg.sender, lanes);
        _receive(lanes * laneUnit);
    }

    /// @notice Pays the caller what it staked, or earned by proving faults, and no open post binds.
    /// @param lanes lane units
    function takeBond(uint64 lanes) external {
        Bond storage staked = bonds[msg.sender];
        uint256 free = staked.lanes - uint256(bond) * staked.open;
        require(lanes <= free, BondBound(msg.sender, free, lanes));
        staked.lanes -= lanes;
        emit BondTaken(msg.sender, lanes);
        _payCaller(lanes * laneUnit);
    }

    function _bind(address operator) internal {
        if (bond == 0) return;
        Bond memory staked = bonds[operator];
        uint256 needed = uint256(bond) * (uint256(staked.open) + 1);
        require(staked.lanes >= needed, InsufficientBond(operator, staked.lanes, needed));
        bonds[operator].open = staked.open + 1;
    }

    function _unbind(address operator) internal {
        if (bond != 0) bonds[operator].open -= 1;
    }

    /// @dev Takes an open post's bond from its poster.
    /// @return reward lane units of it that are the prover's from now on
    function _forfeit(address poster, address prover) internal returns (uint64 reward) {
        if (bond == 0) return 0;
        _unbind(poster);
        bonds[poster].lanes -= bond;
        // What a full account cannot take is nobody's: no account may make a strike fail.
        uint64 room = type(uint64).max - bonds[prover].lanes;
        reward = bond / 2 < room ? bond / 2 : room;
        bonds[prover].lanes += reward;
        forfeited += bond - reward;
    }
}
